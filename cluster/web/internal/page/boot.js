// The rest of the page is loaded from here. A browser that fails to get one of the files, as the network has just changed, asks for it
// no more, and the page would stand still for ever: so all are asked for again.

const again = 2_000;

import("./app.js").catch(error => {
  const lost = error instanceof TypeError; // else the browser does not understand what it got
  document.getElementById("link-text").textContent = "Not loaded";
  const banner = document.createElement("div");
  banner.className = "banner is-lost";
  banner.setAttribute("role", "alert");
  banner.textContent = lost ? "Not all of this page came from the node. Trying again …" : `This browser cannot show this page: ${error.message}`;
  document.getElementById("banners").replaceChildren(banner);
  if (lost) setTimeout(() => location.reload(), again);
});
