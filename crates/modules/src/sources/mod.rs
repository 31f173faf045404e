//! The source modules, by name.

mod dummy;

use crate::source::SourceModule;

/// Every source module, in the order of their names.
pub static ALL: &[&SourceModule] = &[&dummy::MODULE];
