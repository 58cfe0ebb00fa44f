//! The offline side: open, verify, install.
