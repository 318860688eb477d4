#![allow(missing_docs, clippy::missing_errors_doc, reason = "stub")]
use crate::*;
use std::io;
use std::path::Path;
use zoo_train::Event;
pub struct TensorBoard;
impl TensorBoard {
    pub fn start(_: &Path, _: &[Event]) -> io::Result<Self> {
        Ok(Self)
    }
    pub fn event(&mut self, _: &Event) -> io::Result<()> {
        Ok(())
    }
}
pub struct Table;
impl Table {
    pub fn start(_: &Path, _: &[Event]) -> io::Result<Self> {
        Ok(Self)
    }
    pub fn event(&mut self, _: &Event) -> io::Result<()> {
        Ok(())
    }
}
pub fn page(_: &Folder) -> String {
    String::new()
}
pub fn watch(_: &Path, _: u16, _: impl FnOnce(std::net::SocketAddr)) -> io::Result<()> {
    Ok(())
}
pub fn list(_: &Path) -> io::Result<Vec<String>> {
    Ok(vec![])
}
pub fn list_text(_: &[String]) -> String {
    String::new()
}
pub fn difference(_: &Folder, _: &Folder) -> Vec<String> {
    vec![]
}
pub fn difference_text(_: &[String], _: &Folder, _: &Folder) -> String {
    String::new()
}
