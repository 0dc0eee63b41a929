"""A Postgres for pages that read the books."""

from tests.adapters.conftest import database as database
from tests.adapters.conftest import empty_database as empty_database
from tests.adapters.conftest import engine as engine
from tests.adapters.conftest import server as server
from tests.adapters.conftest import template as template
