"""A page of the report in a real browser, and what it tried to do there."""

from contextlib import contextmanager

from ropa.report import html

WIDTHS = {"desktop": 1280, "phone": 390}


@contextmanager
def opened(browser, folder, document, lang="nl", *, width="desktop", with_script=True):
    """Open the report of a document; whatever it says, asks for or shows by itself is in the lists of the page."""
    path = folder / f"report-{lang}.html"
    path.write_text(html.render(document, lang), encoding="utf-8")
    context = browser.new_context(viewport={"width": WIDTHS[width], "height": 900}, java_script_enabled=with_script)
    page = context.new_page()
    page.said, page.asked, page.dialogs = [], [], []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("dialog", lambda dialog: (page.dialogs.append(dialog.message), dialog.dismiss()))
    try:
        page.goto(path.as_uri())
        page.asked.remove(path.as_uri())
        yield page
    finally:
        context.close()
