import { useState } from "preact/hooks";

/** Asks for the token of a server that others than loopback's can reach. */
export function Locked({ onToken }: { readonly onToken: (token: string) => void }) {
  const [token, setToken] = useState("");
  return (
    <main class="empty">
      <form
        class="card locked"
        onSubmit={(event) => {
          event.preventDefault();
          onToken(token.trim());
        }}
      >
        <h1>Tutti</h1>
        <p>Open the address that the coordinator printed, or give its token: with the workers' token you can watch.</p>
        <label>
          Token
          <input
            type="password"
            autocomplete="off"
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="main">
          Watch
        </button>
      </form>
    </main>
  );
}
