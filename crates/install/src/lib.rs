//! The offline side: open, verify, install.
//!
//! A bundle is a folder that somebody carried across an air gap. [`Bundle::open`] finds its volumes and reads the
//! table of contents, which is the first thing in the archive; from then on every byte that may follow is known by
//! its digest. [`Bundle::verify`] reads everything and tells *all* that is wrong. [`install()`] writes only what it has
//! verified, into a new [`Generation`], and takes that in use with one atomic rename; the generation before stays in
//! use until then and can be gone back to.
//!
//! ```text
//! folder ──open──▶ Bundle<Unverified> ──verify──▶ Bundle<Verified>    (or a VerifyReport with every finding)
//!                        └──────────┬───────────────────┘
//!                              InstallPlan ──install──▶ Receipt, Generation ──verify_home──▶ VerifyReport
//! ```
//!
//! Reading is hostile-proof: which frames an archive consists of, down to the last byte of every tar header, follows
//! from the manifest ([`manifest::ArchivePlan`]), so nothing is taken from the archive but the content of files whose
//! digests are known. Volumes are read, never mapped: a stick that is pulled out is an error, not a crash.
//!
//! # Example
//! ```no_run
//! use install::{Bundle, InstallOptions, InstallPlan, install};
//! use manifest::Silent;
//!
//! let bundle = Bundle::open("/media/stick/field-kit".as_ref())?;
//! let (bundle, _) = bundle.verify(0, &Silent).map_err(|report| report.to_string())?;
//! let options = InstallOptions { home: "/home/ada/forge".into(), ..InstallOptions::default() };
//! println!("{}", InstallPlan::new(&bundle, &options)?);
//! let receipt = install(&bundle, &options, &Silent)?;
//! println!("generation {} is in use", receipt.generation);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod base;
mod bundle;
mod contents;
mod disk;
mod file_facts;
mod files;
mod generation;
mod home_lock;
mod import;
mod inspect;
mod install;
mod install_error;
mod install_plan;
mod open_error;
mod receipt;
mod recovery_volumes;
mod repair;
mod restore;
mod restore_error;
mod restore_plan;
mod restore_staging;
#[doc(hidden)]
pub mod scan;
mod staged_file;
mod sticks;
mod stream;
mod sums;
mod trust;
mod verify;
mod verify_home;
mod volumes;
mod walk;

pub use bundle::{Bundle, Unverified, Verified};
pub use generation::{Generation, collect_garbage, current, history, inventory, roll_back};
pub use import::{
    Describe, FoundFile, FoundModel, ImportError, ImportOptions, ImportPlan, ImportReport, Judge, Judgement, Keepsake,
    LeftOut, Program, Reason, Unfit, import,
};
pub use inspect::{InspectedComponent, Inspection, inspect};
pub use install::{InstallOptions, install};
pub use install_error::InstallError;
pub use install_plan::{Action, InstallPlan, PlannedFile};
pub use open_error::OpenError;
pub use receipt::Receipt;
pub use repair::{RepairError, RepairReport, RepairedVolume, repair, repair_with};
pub use restore::{RestoreOptions, Restored, restore};
pub use restore_error::RestoreError;
pub use trust::{Trust, trusted_keys};
pub use verify::{VerifyReport, verify};
pub use verify_home::verify_home;
pub use volumes::Volume;
pub use walk::{StoredFile, Walk, plain_reason};
