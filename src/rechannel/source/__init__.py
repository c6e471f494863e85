"""Files and databases become checked relations; the run store."""
