"""KMIP payloads to requests and results to payloads, by tables: one row for each operation, one for each field.

| file | tables of |
|---|---|
| fields | how a structure's fields are read |
| values, attributes | attribute values and the forms of attributes in 1.x and 2.x |
| key_blocks | managed objects with their key blocks |
| objects, attribute_changes, searches, ciphers, capabilities | the operations' payloads |
| operations | which operations there are, by version |
"""
