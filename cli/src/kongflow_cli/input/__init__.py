"""What users write on the command line: documents, times, and shortcuts of filters."""
