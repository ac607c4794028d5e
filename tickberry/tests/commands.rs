//! Help texts and exit codes, as a shell sees them. `TRYCMD=overwrite cargo test -p tickberry --test commands` writes them anew.

#[test]
fn commands_say_what_they_do_and_what_was_wrong() {
    // The width of help is the terminal's otherwise; the variables of whoever runs this are not configuration here.
    trycmd::TestCases::new().env("COLUMNS", "100").case("tests/cmd/*.trycmd").run();
}
