//! The offline side: open, verify, install.

mod bundle;
mod disk;
mod files;
mod generation;
mod home_lock;
mod inspect;
mod install;
mod install_error;
mod install_plan;
mod open_error;
mod receipt;
#[doc(hidden)]
pub mod scan;
mod staged_file;
mod stream;
mod sums;
mod verify;
mod verify_home;
mod volumes;

pub use bundle::{Bundle, Unverified, Verified};
pub use generation::{Generation, current, roll_back};
pub use inspect::{InspectedComponent, Inspection, inspect};
pub use install::{InstallOptions, install};
pub use install_error::InstallError;
pub use install_plan::{Action, InstallPlan, PlannedFile};
pub use open_error::OpenError;
pub use receipt::Receipt;
pub use verify::VerifyReport;
pub use verify_home::verify_home;
pub use volumes::Volume;
