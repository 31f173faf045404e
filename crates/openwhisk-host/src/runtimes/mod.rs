//! What carries out the code of actions.
