// The token, whose it is, and the accounts it sees.
import { Refusal, cloud } from "./state.mjs"

const verified = () => ({ id: "0".repeat(32), status: "active", ...cloud.verified })

export const routes = [
  [
    "GET",
    "/user/tokens/verify",
    () => {
      if (cloud.ofAccount) throw new Refusal(401, 1000, "Invalid API Token")
      return verified()
    },
  ],
  [
    "GET",
    "/user",
    () => {
      if (!cloud.email) throw new Refusal(403, 9109, "Unauthorized to access requested resource")
      return { email: cloud.email }
    },
  ],
  [
    "GET",
    "/accounts",
    ({ query, page }) => {
      const number = Number(query.page ?? 1)
      page.total_pages = cloud.accounts.length
      return cloud.accounts.slice(number - 1, number)
    },
  ],
  ["GET", "/tokens/verify", verified],
]
