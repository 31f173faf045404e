//! The yardsticks that calls through the sandbox are compared with: the same
//! engine without any isolation. For measuring only; must never see a script
//! that is not ours.
