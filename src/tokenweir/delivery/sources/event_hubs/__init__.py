"""A hub of Azure Event Hubs as a source."""
