//! Runs models.
