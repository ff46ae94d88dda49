"""Public files: what can be fetched, under which licence, with which checksum."""
