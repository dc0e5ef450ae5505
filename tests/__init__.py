"""Everything that proves keystead: the tree mirrors src/keystead, surface/ reads the source itself."""
