//! Named points at which a torture test can kill the process. Compiled to nothing unless
//! the feature `failpoints` is on.

/// Every point of this crate; those of the store are in `conche-store`.
pub(crate) mod point {
    /// An event was handed in, nothing is stored.
    pub(crate) const AFTER_RECV: &str = "engine::after_recv";
    /// It is stored, its sender does not know yet.
    pub(crate) const BEFORE_ACK: &str = "engine::before_ack";
    /// Its runs are about to be driven.
    pub(crate) const AFTER_ACK: &str = "engine::after_ack";
    /// An intent is committed, its effect has not begun.
    pub(crate) const AFTER_INTENT: &str = "engine::after_intent";
    /// An effect is under way.
    pub(crate) const MID_EFFECT: &str = "engine::mid_effect";
    /// An effect is over, nothing of it is recorded.
    pub(crate) const AFTER_EFFECT: &str = "engine::after_effect";
    /// An outcome is about to be committed.
    pub(crate) const BEFORE_RESULT: &str = "engine::before_result_commit";
    /// A timer came due.
    pub(crate) const TIMER_FIRE: &str = "engine::timer_fire";
}

/// Does at a point what the torture test configured there, e.g. abort the process.
#[allow(
    clippy::needless_pass_by_value,
    reason = "the macro takes the name by value"
)]
pub(crate) fn hit(name: &str) {
    #[cfg(feature = "failpoints")]
    fail::fail_point!(name);
    #[cfg(not(feature = "failpoints"))]
    let _: &str = name;
}
