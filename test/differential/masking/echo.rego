package masking

said := input.document
