"""All commands, in the order in which help shows them."""

from .app import new_app
from .calls import call, calls
from .config import config
from .consume import consume
from .dead_letters import dead_letters
from .demo import demo
from .doctor import doctor
from .erase import erase
from .estimate import estimate
from .import_records import import_records
from .jobs import jobs
from .keys import keys
from .limits import limits
from .months import months
from .prices import prices
from .query import query
from .reconcile import reconcile
from .rerate import rerate
from .serve import serve
from .simulate import simulate
from .statement import statement
from .stream import stream
from .trace import trace
from .usage import usage
from .verify import verify
from .version import version

__all__ = ["app", "main"]

app = new_app("The gateway and meter for Azure OpenAI.")

app.command()(demo)
app.command()(serve)
app.command()(consume)
app.command()(stream)
app.command()(usage)
app.command()(statement)
app.add_typer(months, name="months")
app.command()(rerate)
app.command()(query)
app.command()(calls)
app.command()(call)
app.command()(trace)
app.add_typer(dead_letters, name="dead-letters")
app.command("import")(import_records)
app.command()(jobs)
app.command()(reconcile)
app.command()(verify)
app.command()(erase)
app.add_typer(keys, name="keys")
app.add_typer(limits, name="limits")
app.add_typer(prices, name="prices")
app.add_typer(config, name="config")
app.command()(doctor)
app.command()(simulate)
app.command()(estimate)
app.command()(version)


def main() -> None:
    """The ``tokenweir`` command."""
    app(prog_name="tokenweir")
