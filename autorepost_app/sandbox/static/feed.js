// New posts land without a reload; gone ones leave. A playing video is never touched.
const feed = document.getElementById("feed");
const address = location.pathname.replace(/\/$/, "") + "/feed.json";
async function look() {
  try {
    const { posts } = await (await fetch(address)).json();
    const ids = new Set(posts.map((post) => post.id));
    for (const shown of [...feed.children]) if (!ids.has(shown.id)) shown.remove();
    posts.forEach((post, place) => {
      if (document.getElementById(post.id)) return;
      const box = document.createElement("template");
      box.innerHTML = post.html;
      const article = box.content.firstElementChild;
      article.classList.add("new");
      feed.insertBefore(article, feed.children[place] ?? null);
    });
  } catch { /* the sandbox may be restarting; the next look will tell */ }
}
setInterval(look, 1500);
