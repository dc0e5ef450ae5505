"""What may be asked: one file per chapter, request, result and handler side by side."""
