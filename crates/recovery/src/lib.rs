//! Recovery data: what puts damaged parts of a volume back together.
//!
//! A volume is protected in sections. A section is cut into equal *shards*, 64 neighbouring shards make a *row*, and
//! the rows are dealt out to a few *groups* in turn. Every group gets 64 recovery shards, from which any 64 of its
//! shards can be computed again (Reed-Solomon over GF(2^16); Lin, Han and Chung 2014, in the form that the Leopard
//! library gave it). Because neighbouring rows belong to different groups, one long hole, as sticks produce them,
//! costs every group the same few shards: a section survives the loss of as many bytes in one piece as it has
//! recovery data.
//!
//! ```text
//! section:  row 0 → group 0 │ row 1 → group 1 │ … │ row g → group 0 │ …        then: a frame with the recovery data
//! ```
//!
//! [`SectionEncoder`] takes the bytes as they are written and needs memory for the recovery data only.
//! [`find_sections`] finds the recovery data of a volume, whatever else is broken, [`Section::damage`] tells which
//! shards are not what they were, and [`Section::rebuild`] computes them. [`Geometry`] says how large everything is.
//!
//! *Recovery volumes* replace whole volumes: [`RecoverySet::encode`] computes them across the volumes of a bundle, block
//! by block, and [`RecoverySet::repair`] computes with any `n` of them whatever is lost in no more than `n` volumes at
//! the same place. [`RecoveryVolume`] is one that was found.
//!
//! # Example
//! ```
//! use recovery::{Geometry, SectionEncoder, find_sections};
//! use std::io::Cursor;
//!
//! let bundle = manifest::Sha256::of(b"a bundle");
//! let content: Vec<u8> = (0..100_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
//! let geometry = Geometry::plan(content.len() as u64, 20.0).ok_or("no recovery data wanted")?;
//! let mut encoder = SectionEncoder::new(geometry, bundle, 1, 0);
//! encoder.push(&content);
//! let mut volume = content.clone();
//! encoder.finish(&mut |bytes| { volume.extend_from_slice(bytes); Ok::<(), std::io::Error>(()) })?;
//!
//! volume[5_000..20_000].fill(0);
//! let open = || Ok(Cursor::new(&volume));
//! let section = find_sections(&mut Cursor::new(&volume))?.pop().ok_or("no recovery data found")?;
//! let damage = section.damage(&open)?;
//! let mut whole = volume.clone();
//! section.rebuild(&open, &damage, &mut |at, bytes| {
//!     whole[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
//!     Ok(())
//! })?;
//! assert_eq!(whole[..content.len()], content);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod code;
mod encoder;
mod geometry;
mod lost;
mod record;
mod recovery_set;
mod recovery_volume;
mod section;
mod set_encoder;
mod set_repair;

pub use encoder::SectionEncoder;
pub use geometry::Geometry;
pub use recovery_set::{ProtectedVolume, RecoverySet, RecoverySetError};
pub use recovery_volume::RecoveryVolume;
pub use section::{Damage, RebuildError, Section, find_sections};
pub use set_encoder::{ReadVolume, WriteRecovery};
pub use set_repair::{SetRepair, WriteVolume};
