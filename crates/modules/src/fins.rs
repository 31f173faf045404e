//! SOARCA Fins as others see them: who is there, and the routes that they call.
//!
//! The listener that speaks SOARCA's API mounts [`router`], which checks the fins' own tokens,
//! and [`admin_router`] behind its own authentication; both may be merged into one router. The
//! composition root starts [`Fins::serve`] once, before the engine, and stops it after.

pub use crate::commands::fin::{
    CapabilityInfo, FinError as Error, FinInfo, Fins, Order, Transport, admin_router, router,
};
