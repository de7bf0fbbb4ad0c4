"""Two invented advertising platforms as one small HTTP server, so that the demonstration has somebody else's API to read.

No part of the product: in earnest the connections' addresses and tokens are those of the real platforms.
"""
