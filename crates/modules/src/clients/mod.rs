//! What sources and actions share to speak to the same kind of peer.

pub(crate) mod tls;
