//! Pack, verify, install, and everything that can go wrong in between.

mod damaged;
mod golden;
mod hostile;
mod imported;
mod killed;
mod kit;
mod packing;
mod planes;
mod refused;
mod repaired;
mod round_trip;
mod signed;
mod sticks;
mod stock_tools;
mod updates;
