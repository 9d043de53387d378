"""The report of one's own suite, and the templates that all pages share."""
