"""Completion in bash, zsh and fish: a script for each, shown or installed.

typer's own scripts go by the name of the program as it is called, ``./mesh``: zsh looks a path up by its last part, and no file can bear
that name. These go by ``mesh``, ask the very command that was typed (each checkout answers for itself), and speak click's protocol
(https://click.palletsprojects.com/en/stable/shell-completion/): one line ``type,value`` for bash and fish, three lines for zsh.
Where the command knows nothing, the shell offers files.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from platform_core.errors import MeshError

VARIABLE = "_MESH_COMPLETE"
"""Says to the command that a shell asks; its launcher knows it too."""

_BASH = r"""
_mesh_completion() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        [[ "$line" == plain,* ]] && COMPREPLY+=("${line#plain,}")
    done < <(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD="$COMP_CWORD" _MESH_COMPLETE=complete_bash "${1/#\~\//$HOME/}" 2>/dev/null)
}
complete -o default -F _mesh_completion mesh ./mesh
"""
_ZSH = r"""
_mesh() {
    local asked=${(Q)words[1]} kind value said
    local -a lines plain described
    lines=("${(@f)$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT - 1)) _MESH_COMPLETE=complete_zsh "${asked/#\~\//$HOME/}" 2>/dev/null)}")
    for kind value said in "${lines[@]}"; do
        [[ "$kind" == plain ]] || continue
        if [[ "$said" == _ ]]; then plain+=("$value"); else described+=("$value:$said"); fi
    done
    (( ${#described} )) && _describe -V mesh described
    (( ${#plain} )) && compadd -V mesh -a plain
    (( ${#described} + ${#plain} )) || _files
}
compdef _mesh mesh
"""
_FISH = r"""
function __mesh_completion
    set -l asked (string replace -r '^~/' "$HOME/" -- (commandline -opc)[1])
    set -l lines (env COMP_WORDS=(commandline -cp) COMP_CWORD=(commandline -t) _MESH_COMPLETE=complete_fish $asked 2>/dev/null)
    set -l fitting (string replace -f -r '^plain,' '' -- $lines)
    if test (count $fitting) -eq 0
        __fish_complete_path (commandline -t)
    else
        printf '%s\n' $fitting
    end
end
complete --no-files --command mesh --arguments '(__mesh_completion)'
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def script(shell: str) -> str:
    """What the shell has to read.

    Raises:
        MeshError: The shell is none of those that are known.
    """
    if shell not in _SCRIPTS:
        raise MeshError(f"there is no completion for {shell or 'this shell'}", remedy=f"use one of: {', '.join(_SCRIPTS)}")
    return _SCRIPTS[shell].lstrip("\n")


def install(shell: str, home: Path) -> list[Path]:
    """Writes the script where the shell finds it, and the line of its start file that reads it; a second time changes nothing.

    Returns:
        The files that were written.

    Raises:
        MeshError: The shell is not known, or a file cannot be written.
    """
    text = script(shell)
    if shell == "fish":
        wanted = {home / ".config/fish/completions/mesh.fish": text}
    else:
        file = home / ".local/share/mesh" / f"completion.{shell}"
        rc = (Path(os.environ.get("ZDOTDIR") or home) / ".zshrc") if shell == "zsh" else home / ".bashrc"
        line = f"[ -f '{file}' ] && source '{file}'"
        if shell == "zsh":  # whoever has set completion up has compdef already
            line = f"(( $+functions[compdef] )) || {{ autoload -Uz compinit && compinit }}; {line}"
        before = rc.read_text() if rc.is_file() else ""
        after = before if line in before else f"{before.rstrip(chr(10))}\n{line}\n".lstrip("\n")
        wanted = {file: text, rc: after}
    written: list[Path] = []
    for path, content in wanted.items():
        try:
            if not path.is_file() or path.read_text() != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
                written.append(path)
        except OSError as error:
            remedy = 'let the shell read it at its start: eval "$(./mesh --show-completion)"'
            raise MeshError(f"the completion cannot be installed: {error.strerror}", where=str(path), remedy=remedy) from error
    return written


def _this_shell() -> str:
    import shellingham

    try:
        return str(shellingham.detect_shell()[0])
    except shellingham.ShellDetectionFailure:
        return Path(os.environ.get("SHELL", "")).name


def _show(wanted: bool) -> None:
    if wanted:
        typer.echo(script(_this_shell()), nl=False)
        raise typer.Exit


def _install(wanted: bool) -> None:
    if wanted:
        shell = _this_shell()
        written = install(shell, Path.home())
        for path in written:
            typer.echo(f"written: {path}")
        typer.echo("open a new shell to have it" if written else "nothing to do: everything is there")
        raise typer.Exit


Install = Annotated[
    bool, typer.Option("--install-completion", callback=_install, is_eager=True, help="Let this shell complete commands and names.")
]
Show = Annotated[
    bool, typer.Option("--show-completion", callback=_show, is_eager=True, help="Print what bash, zsh or fish reads for that.")
]
