"""One operation a file: the plain reference, the fast implementations and the table of backends."""
