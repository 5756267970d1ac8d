//! Puts changes behind switches.
//!
//! `a + b` becomes `(match at(7, 2) { 1 => { a - b }, 2 => { a * b }, _ => { a + b } })`. Only the
//! last arm contains the switches of `a` and `b`. Otherwise the text would double with each level.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;

use proc_macro2::{LineColumn, Span};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use crate::changes::{Change, Position};

/// A place in a source and its changes, which have consecutive numbers.
pub(crate) struct Switch {
    pub(crate) changes: Vec<u32>,
    /// What the place spans in the new text, and the texts of its changes.
    pub(crate) whole: Range<usize>,
    pub(crate) alternatives: Vec<Range<usize>>,
}

pub(crate) struct Switched {
    pub(crate) text: String,
    pub(crate) switches: Vec<Switch>,
    /// Changes at places where no switch can stand.
    pub(crate) unplaced: Vec<u32>,
}

/// A text that is put in, with the part of it that belongs to each change.
struct Insertion {
    at: usize,
    text: String,
    switch: usize,
    alternatives: Vec<Range<usize>>,
    opens: bool,
}

struct Visitor<'a> {
    source: &'a str,
    /// The changes that aren't placed yet, by where they begin and their genre.
    changes: HashMap<(Position, &'a str), Vec<(u32, &'a Change)>>,
    /// The number of the next change, and the changes by their numbers.
    next: u32,
    placed: Vec<Vec<u32>>,
    insertions: Vec<Insertion>,
    numbers: HashMap<u32, u32>,
    /// How many constants the visitor is in.
    constants: usize,
}

/// Puts those of the file's changes behind switches. `next` is the first number that is free.
///
/// Changes are known by their places in the list. `numbers` gets the number of each.
pub(crate) fn switched(
    source: &str,
    changes: &[(u32, &Change)],
    next: &mut u32,
    numbers: &mut HashMap<u32, u32>,
) -> Result<Switched, syn::Error> {
    let file = syn::parse_file(source)?;
    let mut by_place: HashMap<_, Vec<_>> = HashMap::new();
    for (listed, change) in changes {
        let key = (change.span.start, change.genre.as_str());
        by_place.entry(key).or_default().push((*listed, *change));
    }
    let mut visitor = Visitor {
        source,
        changes: by_place,
        next: *next,
        placed: Vec::new(),
        insertions: Vec::new(),
        numbers: HashMap::new(),
        constants: 0,
    };
    visitor.visit_file(&file);
    *next = visitor.next;
    numbers.extend(&visitor.numbers);
    let unplaced = visitor.changes.values().flatten();
    let unplaced = unplaced.map(|(listed, _)| *listed).collect();
    let (text, switches) = joined(source, visitor.insertions, visitor.placed);
    Ok(Switched {
        text,
        switches,
        unplaced,
    })
}

/// The source with the insertions, and where each switch is in it.
fn joined(
    source: &str,
    mut insertions: Vec<Insertion>,
    placed: Vec<Vec<u32>>,
) -> (String, Vec<Switch>) {
    // At one place, what closes comes before what opens. Outer switches were visited first, so they
    // open first and close last.
    insertions.sort_by_key(|it| {
        let order = if it.opens {
            it.switch
        } else {
            usize::MAX - it.switch
        };
        (it.at, it.opens, order)
    });
    let mut switches: Vec<_> = placed
        .into_iter()
        .map(|changes| Switch {
            alternatives: vec![0..0; changes.len()],
            changes,
            whole: 0..0,
        })
        .collect();
    let mut text = String::new();
    let mut done = 0;
    for insertion in insertions {
        text += &source[done..insertion.at];
        done = insertion.at;
        let from = text.len();
        text += &insertion.text;
        let switch = &mut switches[insertion.switch];
        if switch.whole.is_empty() {
            switch.whole.start = from;
        }
        switch.whole.end = text.len();
        for (index, range) in insertion.alternatives.into_iter().enumerate() {
            if !range.is_empty() {
                switch.alternatives[index] = range.start + from..range.end + from;
            }
        }
    }
    text += &source[done..];
    (text, switches)
}

fn position(place: LineColumn) -> Position {
    Position {
        line: place.line,
        column: place.column + 1,
    }
}

impl<'a> Visitor<'a> {
    fn text(&self, span: Span) -> &'a str {
        &self.source[span.byte_range()]
    }

    /// The changes of this genre that begin here, as a new switch with its number and its texts.
    fn take(&mut self, at: Span, genre: &'static str) -> Option<(usize, u32, Vec<&'a Change>)> {
        // The compiler evaluates constants, before any switch is set.
        if self.constants > 0 {
            return None;
        }
        let changes = self.changes.remove(&(position(at.start()), genre))?;
        let first = self.next;
        let mut numbers = Vec::new();
        for (listed, _) in &changes {
            self.numbers.insert(*listed, self.next);
            numbers.push(*listed);
            self.next += 1;
        }
        self.placed.push(numbers);
        let changes = changes.into_iter().map(|(_, change)| change).collect();
        Some((self.placed.len() - 1, first, changes))
    }

    fn insert(&mut self, at: usize, text: String, switch: usize, opens: bool) {
        self.insertions.push(Insertion {
            at,
            text,
            switch,
            alternatives: Vec::new(),
            opens,
        });
    }

    /// `(match at(…) { 1 => { … }, _ => ` before and `})` after, with the changed expressions.
    fn choose(&mut self, whole: Span, switch: usize, first: u32, changed: &[String]) {
        let mut text = format!("(match ::mutant_switch::at({first}, {}) {{ ", changed.len());
        let mut alternatives = Vec::new();
        for (index, changed) in changed.iter().enumerate() {
            let _ = write!(text, "{} => {{ ", index + 1);
            let from = text.len();
            text += changed;
            alternatives.push(from..text.len());
            text += " }, ";
        }
        text += "_ => { ";
        let range = whole.byte_range();
        self.insertions.push(Insertion {
            at: range.start,
            text,
            switch,
            alternatives,
            opens: true,
        });
        self.insert(range.end, " } })".to_owned(), switch, false);
    }

    fn function(&mut self, block: &syn::Block) {
        // cargo-mutants replaces the statements, and names the place of the first.
        let Some(statement) = block.stmts.first() else {
            return;
        };
        let Some((switch, first, changes)) = self.take(statement.span(), "FnValue") else {
            return;
        };
        let mut text = String::new();
        let mut alternatives = Vec::new();
        let count = changes.len();
        let _ = write!(text, " match ::mutant_switch::at({first}, {count}) {{ ");
        for (index, change) in changes.iter().enumerate() {
            let _ = write!(text, "{} => return ", index + 1);
            let from = text.len();
            text += &change.replacement;
            alternatives.push(from..text.len());
            text += ", ";
        }
        text += "_ => {} } ";
        self.insertions.push(Insertion {
            at: block.brace_token.span.open().byte_range().end,
            text,
            switch,
            alternatives,
            opens: true,
        });
        // If what the function returns has no name, an error is about all of its body.
        let end = block.brace_token.span.close().byte_range().start;
        self.insert(end, String::new(), switch, false);
    }
}

/// Whether a chain of ANDs has a `let`. Such a chain can only stand in a condition.
fn has_let(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.constants += 1;
        visit::visit_item_const(self, item);
        self.constants -= 1;
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.constants += 1;
        visit::visit_impl_item_const(self, item);
        self.constants -= 1;
    }

    fn visit_trait_item_const(&mut self, item: &'ast syn::TraitItemConst) {
        self.constants += 1;
        visit::visit_trait_item_const(self, item);
        self.constants -= 1;
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.constants += 1;
        visit::visit_item_static(self, item);
        self.constants -= 1;
    }

    fn visit_expr_const(&mut self, block: &'ast syn::ExprConst) {
        self.constants += 1;
        visit::visit_expr_const(self, block);
        self.constants -= 1;
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        let is_chain = has_let(&binary.left) || has_let(&binary.right);
        if !is_chain
            && let Some((switch, first, changes)) = self.take(binary.op.span(), "BinaryOperator")
        {
            let (left, right) = (
                self.text(binary.left.span()),
                self.text(binary.right.span()),
            );
            let changed: Vec<_> = changes
                .iter()
                .map(|change| format!("{left} {} {right}", change.replacement))
                .collect();
            self.choose(binary.span(), switch, first, &changed);
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'ast syn::ExprUnary) {
        if let Some((switch, first, _)) = self.take(unary.op.span(), "UnaryOperator") {
            let changed = self.text(unary.expr.span()).to_owned();
            self.choose(unary.span(), switch, first, &[changed]);
        }
        visit::visit_expr_unary(self, unary);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let deleted = self.take(arm.span(), "MatchArm").map(|(switch, first, _)| {
            let condition = format!("::mutant_switch::at({first}, 1) == 0");
            (switch, condition)
        });
        let guard = match &arm.pat {
            syn::Pat::Guard(guarded) => Some(&guarded.guard),
            _ => None,
        };
        match (guard, deleted) {
            (None, Some((switch, condition))) => {
                let at = arm.pat.span().byte_range().end;
                self.insert(at, format!(" if {condition}"), switch, true);
            }
            (Some(guard), Some((switch, condition))) => {
                let range = guard.span().byte_range();
                self.insert(range.start, format!("{condition} && ("), switch, true);
                self.insert(range.end, ")".to_owned(), switch, false);
            }
            (_, None) => {}
        }
        if let Some(guard) = guard
            && let Some((switch, first, changes)) = self.take(guard.span(), "MatchArmGuard")
        {
            let changed: Vec<_> = changes.iter().map(|it| it.replacement.clone()).collect();
            self.choose(guard.span(), switch, first, &changed);
        }
        visit::visit_arm(self, arm);
    }

    fn visit_expr_struct(&mut self, literal: &'ast syn::ExprStruct) {
        let whole = literal.span().byte_range();
        for pair in literal.fields.pairs() {
            let field = pair.value();
            let Some((switch, first, _)) = self.take(field.span(), "StructField") else {
                continue;
            };
            let left_out = field.span().byte_range();
            let comma = pair.punct().map(|it| it.span().byte_range());
            let after = comma.map_or(left_out.end, |it| it.end);
            let changed = [
                &self.source[whole.start..left_out.start],
                &self.source[after..whole.end],
            ];
            self.choose(literal.span(), switch, first, &[changed.concat()]);
        }
        visit::visit_expr_struct(self, literal);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crate::changes::Change;

    fn change(genre: &str, line: usize, column: usize, replacement: &str) -> Change {
        let place = serde_json::json!({"line": line, "column": column});
        let change = serde_json::json!({
            "file": "src/lib.rs",
            "package": "package",
            "function": null,
            "genre": genre,
            "span": {"start": place, "end": place},
            "replacement": replacement,
            "name": "src/lib.rs:1:1: a change",
        });
        serde_json::from_value(change).unwrap()
    }

    fn switched(source: &str, changes: &[Change]) -> super::Switched {
        let listed: Vec<_> = (0..).zip(changes).collect();
        super::switched(source, &listed, &mut 1, &mut HashMap::new()).unwrap()
    }

    #[test]
    fn an_operator_has_an_arm_for_each_change_and_one_without() {
        let changes = [
            change("BinaryOperator", 1, 32, "-"),
            change("BinaryOperator", 1, 32, "*"),
        ];
        let switched = switched("fn f(a: u8, b: u8) -> u8 { (a) + b }", &changes);
        assert_eq!(
            switched.text,
            "fn f(a: u8, b: u8) -> u8 { (match ::mutant_switch::at(1, 2) \
             { 1 => { (a) - b }, 2 => { (a) * b }, _ => { (a) + b } }) }"
        );
        let switch = &switched.switches[0];
        let texts = switch.alternatives.iter();
        let texts: Vec<_> = texts.map(|range| &switched.text[range.clone()]).collect();
        assert_eq!(texts, ["(a) - b", "(a) * b"]);
        assert!(switched.text[switch.whole.clone()].starts_with("(match"));
    }

    #[test]
    fn switches_stand_in_each_other() {
        let changes = [
            change("BinaryOperator", 1, 41, "-"),
            change("BinaryOperator", 1, 37, "-"),
            change("FnValue", 1, 35, "0"),
        ];
        let switched = switched("fn f(a: u8, b: u8, c: u8) -> u8 { a + b + c }", &changes);
        assert_eq!(
            switched.text,
            "fn f(a: u8, b: u8, c: u8) -> u8 { match ::mutant_switch::at(1, 1) \
             { 1 => return 0, _ => {} }  (match ::mutant_switch::at(2, 1) { 1 => { a + b - c }, \
             _ => { (match ::mutant_switch::at(3, 1) { 1 => { a - b }, _ => { a + b } }) + c } }) }"
        );
        assert!(switched.unplaced.is_empty());
    }

    #[test]
    fn a_chain_with_a_let_has_no_switch() {
        let source = "fn f(a: Option<u8>) { if let Some(_) = a && true {} }";
        let switched = switched(source, &[change("BinaryOperator", 1, 42, "||")]);
        assert_eq!(switched.text, source);
        assert_eq!(switched.unplaced, [0]);
    }

    #[test]
    fn an_arm_is_left_out_by_a_condition() {
        let source = "fn f(a: u8) -> u8 { match a { 1 => 2, 3 if a > 0 => 4, _ => 5 } }";
        let changes = [
            change("MatchArm", 1, 31, ""),
            change("MatchArm", 1, 39, ""),
            change("MatchArmGuard", 1, 44, "true"),
        ];
        let switched = switched(source, &changes);
        assert_eq!(
            switched.text,
            "fn f(a: u8) -> u8 { match a { 1 if ::mutant_switch::at(1, 1) == 0 => 2, \
             3 if ::mutant_switch::at(2, 1) == 0 && ((match ::mutant_switch::at(3, 1) \
             { 1 => { true }, _ => { a > 0 } })) => 4, _ => 5 } }"
        );
    }

    #[test]
    fn a_field_is_left_out_with_its_comma() {
        let source = "fn f() -> S { S { a: 1, b: 2, ..S::new() } }";
        let switched = switched(source, &[change("StructField", 1, 19, "")]);
        assert_eq!(
            switched.text,
            "fn f() -> S { (match ::mutant_switch::at(1, 1) { 1 => { S {  b: 2, ..S::new() } }, \
             _ => { S { a: 1, b: 2, ..S::new() } } }) }"
        );
    }

    #[test]
    fn a_constant_has_no_switch() {
        let source = "const A: u8 = 1 + 2;";
        let switched = switched(source, &[change("BinaryOperator", 1, 17, "-")]);
        assert_eq!(switched.text, source);
        assert_eq!(switched.unplaced, [0]);
    }

    #[test]
    fn a_negation_is_left_out() {
        let switched = switched(
            "fn f(a: bool) -> bool { !a }",
            &[change("UnaryOperator", 1, 25, "")],
        );
        let text = "(match ::mutant_switch::at(1, 1) { 1 => { a }, _ => { !a } })";
        assert!(switched.text.contains(text), "{}", switched.text);
    }
}
