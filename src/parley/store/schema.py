"""All tables, wherever they are described. A file of tables that is not named here is in no migration and no move."""

from parley.store import assistant_tables, cluster_tables, files_tables, tables

metadata = tables.metadata
LOCAL = frozenset(
    {
        cluster_tables.nodes.name,
        cluster_tables.leases.name,
        cluster_tables.tickets.name,
        files_tables.uploads.name,
        assistant_tables.answers.name,
    }
)
"""What tells of the processes that run now, and means nothing in another database."""
