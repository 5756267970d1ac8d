//! The contents of `src/`: accesses of atomics, and the functions around them.

use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::{Failure, files};

/// A call of an atomic's method or of a fence, with its orderings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) file: String,
    pub(crate) line: usize,
    /// The column, from 1 as in a panic.
    pub(crate) column: usize,
    pub(crate) operation: String,
    pub(crate) orderings: Vec<String>,
}

/// A function, from its first line to its last.
#[derive(Debug)]
struct Function {
    file: String,
    name: String,
    lines: std::ops::RangeInclusive<usize>,
}

/// All accesses and functions of some files.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) accesses: Vec<Access>,
    functions: Vec<Function>,
}

const ORDERINGS: [&str; 5] = ["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];

impl Sources {
    /// Reads all files in `src/`.
    pub(crate) fn read(root: &Path) -> Result<Self, Failure> {
        let mut sources = Self::default();
        for path in rust_files(&root.join("src"))? {
            let file = path.strip_prefix(root).expect("it lies below");
            let text = files::text(&path)?;
            sources.add(&file.to_string_lossy(), &text)?;
        }
        Ok(sources)
    }

    fn add(&mut self, file: &str, text: &str) -> Result<(), Failure> {
        let parsed = syn::parse_file(text).map_err(|error| format!("{file}: {error}"))?;
        let mut reader = Reader {
            file,
            around: Vec::new(),
            sources: self,
        };
        reader.visit_file(&parsed);
        Ok(())
    }

    /// The innermost function around a line.
    pub(crate) fn function_at(&self, file: &str, line: usize) -> &str {
        let around = self.functions.iter();
        let around = around.filter(|it| it.file == file && it.lines.contains(&line));
        around
            .min_by_key(|it| it.lines.end() - it.lines.start())
            .map_or("", |it| &it.name)
    }
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for path in files::entries(folder)? {
        if path.is_dir() {
            found.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Whether the accesses in the function are sites of its callers.
fn is_site_of_callers(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.tokens.to_string().contains("track_caller"),
        _ => false,
    })
}

/// Whether the attributes keep the item out of every build of the models.
fn is_left_out(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return false;
        };
        let condition = list.tokens.to_string();
        list.path.is_ident("cfg")
            && (condition == "test"
                || condition.contains("not (tripcurve_loom)")
                || condition.starts_with("all (test"))
    })
}

struct Reader<'a> {
    file: &'a str,
    /// The names of the enclosing modules, types and functions.
    around: Vec<String>,
    sources: &'a mut Sources,
}

impl Reader<'_> {
    fn within(&mut self, name: String, visit: impl FnOnce(&mut Self)) {
        self.around.push(name);
        visit(self);
        self.around.pop();
    }

    fn note_function(&mut self, span: proc_macro2::Span) {
        self.sources.functions.push(Function {
            file: self.file.to_owned(),
            name: self.around.join("::"),
            lines: span.start().line..=span.end().line,
        });
    }

    fn note_access<'e>(
        &mut self,
        at: proc_macro2::Span,
        operation: String,
        arguments: impl Iterator<Item = &'e syn::Expr>,
    ) {
        let orderings: Vec<_> = arguments.filter_map(ordering_of).collect();
        if !orderings.is_empty() {
            self.sources.accesses.push(Access {
                file: self.file.to_owned(),
                line: at.start().line,
                column: at.start().column + 1,
                operation,
                orderings,
            });
        }
    }
}

fn ordering_of(argument: &syn::Expr) -> Option<String> {
    let syn::Expr::Path(path) = argument else {
        return None;
    };
    let [kind, ordering] = path.path.segments.iter().collect::<Vec<_>>()[..] else {
        return None;
    };
    let ordering = ordering.ident.to_string();
    (kind.ident == "Ordering" && ORDERINGS.contains(&ordering.as_str())).then_some(ordering)
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Fn(it) => &it.attrs,
            syn::Item::Impl(it) => &it.attrs,
            syn::Item::Mod(it) => &it.attrs,
            _ => &Vec::new(),
        };
        if !is_left_out(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let name = match &*item.self_ty {
            syn::Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
            _ => None,
        };
        self.within(name.unwrap_or_default(), |it| {
            visit::visit_item_impl(it, item);
        });
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.within(item.ident.to_string(), |it| {
            visit::visit_item_trait(it, item);
        });
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.within(item.sig.ident.to_string(), |it| {
            it.note_function(item.span());
            visit::visit_item_fn(it, item);
        });
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_left_out(&item.attrs) {
            self.within(item.sig.ident.to_string(), |it| {
                it.note_function(item.span());
                if !is_site_of_callers(&item.attrs) {
                    visit::visit_impl_item_fn(it, item);
                }
            });
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.within(item.sig.ident.to_string(), |it| {
            it.note_function(item.span());
            visit::visit_trait_item_fn(it, item);
        });
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let method = &call.method;
        self.note_access(method.span(), method.to_string(), call.args.iter());
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(function) = &*call.func
            && function.path.is_ident("fence")
        {
            self.note_access(call.span(), "fence".to_owned(), call.args.iter());
        }
        visit::visit_expr_call(self, call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
impl Word {
    fn exchange(&self) -> bool {
        self.word
            .compare_exchange(1, 2, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
    fn other(&self) {
        fence(Ordering::SeqCst);
        self.load();
    }
    #[cfg_attr(tripcurve_loom, track_caller)]
    fn load(&self) {
        self.word.load(Ordering::Acquire);
    }
}
#[cfg(test)]
mod tests {
    fn not_looked_at() {
        word.load(Ordering::Relaxed);
    }
}
";

    #[test]
    fn accesses_are_found_with_their_functions() {
        let mut sources = Sources::default();
        sources.add("a.rs", TEXT).unwrap();
        let [exchange, fence] = &sources.accesses[..] else {
            panic!("{sources:?}");
        };
        assert_eq!((exchange.line, exchange.column), (4, 14));
        assert_eq!(exchange.operation, "compare_exchange");
        assert_eq!(exchange.orderings, ["AcqRel", "Acquire"]);
        assert_eq!((fence.line, fence.column), (8, 9));
        assert_eq!(fence.orderings, ["SeqCst"]);
        assert_eq!(sources.function_at("a.rs", 4), "Word::exchange");
        assert_eq!(sources.function_at("a.rs", 8), "Word::other");
    }
}
