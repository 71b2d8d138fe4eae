import click
@click.command("sample")
def sample() -> None:
    "x"
