//! The online side: plan, fetch, pack.
