//! The modes of the load generator; each prints one JSON line as its result.

pub mod broadcast;
pub mod connect;
pub mod echo;
pub mod floor;
pub mod idle;
pub mod ingest;
pub mod serve;
