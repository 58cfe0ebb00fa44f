//! One file per command.

pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod bundle;
pub(crate) mod catalog;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod freeze;
pub(crate) mod generate;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod install;
pub(crate) mod inventory;
pub(crate) mod keygen;
pub(crate) mod licences;
pub(crate) mod models;
pub(crate) mod plan;
pub(crate) mod repair;
pub(crate) mod restore;
pub(crate) mod selftest;
pub(crate) mod serve;
pub(crate) mod start;
pub(crate) mod verify;
