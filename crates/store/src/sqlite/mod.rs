//! One folder on disk: the store of a single node.
