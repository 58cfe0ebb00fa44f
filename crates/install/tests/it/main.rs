//! Pack, verify, install, and everything that can go wrong in between.

mod damaged;
mod frozen;
mod golden;
mod hostile;
mod imported;
mod killed;
mod kit;
mod listings;
mod packing;
mod planes;
mod recovery_volumes;
mod refused;
mod repaired;
mod round_trip;
mod salvaged;
mod second_reader;
mod signed;
mod sticks;
mod stock_tools;
mod updates;
