"""What commands print: tables, sentences of errors, progress."""
