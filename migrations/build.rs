//! Migrations are read at compile time, so a new or changed one has to trigger a build.

fn main() {
    println!("cargo:rerun-if-changed=.");
}
