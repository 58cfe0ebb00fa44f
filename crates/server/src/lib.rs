//! The local web page and the HTTP interface behind it.
