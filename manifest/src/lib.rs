//! The nouns of Fieldforge: catalog, request, lock, manifest, layout. Parses and checks; never writes.
