// A link with `#session=…&token=…` takes over a session; the token does not stay in the address.

export function takeOver() {
  const given = new URLSearchParams(location.hash.slice(1));
  const [session, token] = [given.get("session"), given.get("token")];
  if (!session || !token) return;
  sessionStorage.setItem("session", session);
  sessionStorage.setItem("resume", token);
  history.replaceState(null, "", location.pathname + location.search);
}
