"""`sweeps examples` and `sweeps spaces`: what comes ready-made with the package."""

from __future__ import annotations

import shutil
from typing import Annotated

import typer


def examples(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Print this example, ready to be copied.")
    ] = None,
) -> None:
    """List the ready-made specs, or print one of them."""
    show_documents("sweeps", "examples", "example", name)


def show_documents(package: str, folder: str, kind: str, name: str | None) -> None:
    """List the documents of a kind that a package brings, or print the one of that name."""
    from importlib.resources import files

    documents = files(package) / folder
    texts = {each.name.removesuffix(".yaml"): each for each in documents.iterdir() if each.name.endswith(".yaml")}
    if name is None:
        columns = shutil.get_terminal_size((200, 24)).columns
        for each in sorted(texts):
            line = f"{each:<{max(map(len, texts))}}   {_first_sentence(texts[each].read_text('utf-8'))}".rstrip()
            typer.echo(line if len(line) <= columns else f"{line[: columns - 1]}…")
    elif name in texts:
        typer.echo(texts[name].read_text("utf-8"), nl=False)
    else:
        raise _unknown(kind, name, sorted(texts))


def _first_sentence(text: str) -> str:
    """Return the comment that the document begins with, to its first full stop."""
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#") or not line[1:].strip():
            break
        lines.append(line[1:].strip())
    sentence, stop, _ = " ".join(lines).partition(". ")
    return sentence + stop.strip()


def _unknown(kind: str, name: str, known: list[str]) -> Exception:
    from search_spaces import SearchSpaceError
    from search_spaces.wording import choices, did_you_mean, show

    guess = did_you_mean(name, known)
    return SearchSpaceError.at("", f"Unknown {kind} {show(name)}.{guess} Choose from: {choices(known)}.")
