select order_id, total from somewhere.else_entirely
