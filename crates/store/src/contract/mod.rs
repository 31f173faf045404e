//! What every backend must do, as a suite that each backend's tests call.
