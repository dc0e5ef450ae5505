"""The command line for administrators: commands drawn from the declarations, and the conversation with a person."""
