//! Has the embedded migrations read again when one is added: the macro that embeds them only knows those that were there.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
